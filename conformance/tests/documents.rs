//! The tables of the documents: what they name exists, and they count right.

use std::fs;
use std::path::Path;

/// The tree of this repository.
fn tree() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The cells of the tables' rows.
fn rows(document: &str) -> impl Iterator<Item = Vec<&str>> {
    let rows = document.lines().filter(|line| line.starts_with("| "));
    rows.map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
}

/// What stands between backquotes.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// Whether a file has a test of this name: a function with the attribute, or one that `views!` makes tests of.
fn exists(test: &str) -> bool {
    let Some((place, name)) = test.rsplit_once("::") else { return false };
    let file = match place.contains('/') {
        true => tree().join(place),
        false => tree().join(format!("conformance/tests/{place}.rs")),
    };
    fs::read_to_string(file).is_ok_and(|text| has_test(&text, name))
}

fn has_test(text: &str, name: &str) -> bool {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let is_function = |line: &&str| {
        line.strip_prefix("fn ").and_then(|rest| rest.split_once('(')).is_some_and(|(fun, _)| fun == name)
    };
    let Some(at) = lines.iter().position(is_function) else { return false };
    let attributes =
        lines[..at].iter().rev().take_while(|line| line.starts_with("#[") || line.starts_with("//"));
    let views = text.split("views!(").skip(1).filter_map(|rest| rest.split_once(')'));
    let mut viewed = views.flat_map(|(names, _)| names.split(',').map(str::trim));
    attributes.into_iter().any(|line| *line == "#[test]") || viewed.any(|view| view == name)
}

#[test]
fn a_test_is_more_than_a_function() {
    let text = "views!(one, two);\n fn one(view: View) {}\n#[test]\n/// Why\nfn three() {}\nfn four() {}\n// fn five() {}";
    for (name, is) in
        [("one", true), ("two", false), ("three", true), ("four", false), ("five", false), ("on", false)]
    {
        assert_eq!(has_test(text, name), is, "{name}");
    }
}

#[test]
fn features_name_tests_that_exist() {
    let Ok(document) = fs::read_to_string(tree().join("FEATURES.md")) else {
        conformance::skip!("the sources are not on this machine");
    };
    let features: Vec<Vec<&str>> =
        rows(&document).filter(|cells| cells.len() == 6 && cells[0] != "feature").collect();
    assert!(features.len() > 100, "{} rows", features.len());
    for cells in &features {
        let (feature, verdict, proof) = (cells[0], cells[1], cells[2]);
        let missing: Vec<&str> = quoted(proof).filter(|test| !exists(test)).collect();
        assert!(missing.is_empty(), "{feature}: {missing:?}");
        let proven = quoted(proof).next().is_some() || proof == "no test";
        assert!(proven || verdict.starts_with("no"), "{feature}: neither a test nor \"no test\"");
    }
    let totals: Vec<Vec<&str>> =
        rows(&document).filter(|cells| cells.len() == 4 && !cells[0].is_empty()).collect();
    for (name, column) in [("corten", 1), ("runc", 3), ("crun", 4), ("youki", 5)] {
        let count = |word: &str| {
            let is = |cells: &&Vec<&str>| cells[column].split(' ').next() == Some(word);
            features.iter().filter(is).count().to_string()
        };
        let counted = [name.to_owned(), count("yes"), count("partly"), count("no")];
        assert!(totals.iter().any(|cells| *cells == counted), "the totals say otherwise than {counted:?}");
    }
}

#[test]
fn security_names_tests_and_files_that_exist() {
    let Ok(document) = fs::read_to_string(tree().join("SECURITY.md")) else {
        conformance::skip!("the sources are not on this machine");
    };
    let (mut rules, mut attacks) = (1.., 1..);
    for cells in rows(&document).filter(|cells| !["rule", "attack"].contains(&cells[0])) {
        let number = match cells.len() {
            3 => format!("D{}:", rules.next().unwrap()),
            _ => format!("T{:02}:", attacks.next().unwrap()),
        };
        assert!(cells[0].starts_with(&number), "{} where {number} is expected", cells[0]);
        let proof = cells[cells.len() - 1];
        let missing: Vec<&str> = quoted(proof).filter(|word| word.contains("::") && !exists(word)).collect();
        assert!(missing.is_empty(), "{number} {missing:?}");
        assert!(
            proof.contains("::") || proof.starts_with("no test"),
            "{number} neither a test nor \"no test\""
        );
        if cells.len() == 3 {
            let is_file = |path: &&str| {
                ["", "runtime-core/src"].iter().any(|room| tree().join(room).join(path).exists())
            };
            let missing: Vec<&str> = quoted(cells[1]).filter(|path| !is_file(path)).collect();
            assert!(missing.is_empty(), "{number} {missing:?}");
        }
    }
    assert_eq!((rules.next(), attacks.next()), (Some(37), Some(28)));
}
