//! In which order programs take turns.

/// The order of so many programs in a round. Over twice as many rounds as there are programs each of them comes equally often at
/// each place and right behind each other one, whose remains it may have to wait for (a Williams design).
pub(crate) fn order(count: usize, round: usize) -> Vec<usize> {
    // 0, the last, 1, the last but one, …: each step is another distance.
    let zigzag = (0..count).map(|place| if place % 2 == 0 { place / 2 } else { count - place.div_ceil(2) });
    let mut order: Vec<usize> = zigzag.map(|program| (program + round) % count).collect();
    if (round / count.max(1)) % 2 == 1 {
        order.reverse();
    }
    order
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn each_comes_equally_often_behind_each_other() {
        assert!(order(0, 3).is_empty());
        for count in 1..9 {
            let (mut places, mut pairs) = (BTreeMap::new(), BTreeMap::new());
            for round in 0..2 * count {
                let order = order(count, round);
                for (place, program) in order.iter().enumerate() {
                    *places.entry((place, *program)).or_insert(0) += 1;
                }
                for pair in order.windows(2) {
                    *pairs.entry(pair.to_vec()).or_insert(0) += 1;
                }
            }
            assert!(places.len() == count * count && places.values().all(|times| *times == 2), "{places:?}");
            assert!(
                pairs.len() == count * (count - 1) && pairs.values().all(|times| *times == 2),
                "{pairs:?}"
            );
        }
    }
}
