// Package tap prints the Test Anything Protocol. It stands in for github.com/mndrix/tap-go, which Debian does not
// package, with the names that the suite uses.
package tap

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
)

// T counts the tests of one program.
type T struct {
	Writer  io.Writer
	planned bool
	todo    bool
	count   *int
}

// New makes a producer that writes to standard output.
func New() *T {
	return &T{Writer: os.Stdout, count: new(int)}
}

// Header announces the number of tests; zero leaves that to AutoPlan.
func (t *T) Header(tests int) {
	fmt.Fprintln(t.Writer, "TAP version 13")
	if tests > 0 {
		t.plan(tests)
	}
}

func (t *T) plan(tests int) {
	t.planned = true
	fmt.Fprintf(t.Writer, "1..%d\n", tests)
}

// AutoPlan announces, after the last test, how many there were.
func (t *T) AutoPlan() {
	if !t.planned {
		t.plan(*t.count)
	}
}

// Ok reports one test.
func (t *T) Ok(test bool, description string) {
	verdict := "ok"
	if !test {
		verdict = "not ok"
	}
	directive := ""
	if t.todo {
		directive = " # TODO"
	}
	*t.count++
	fmt.Fprintf(t.Writer, "%s %d - %s%s\n", verdict, *t.count, description, directive)
}

// Pass reports a test that passed.
func (t *T) Pass(description string) {
	t.Ok(true, description)
}

// Fail reports a test that failed.
func (t *T) Fail(description string) {
	t.Ok(false, description)
}

// Skip reports tests that were not run.
func (t *T) Skip(count int, description string) {
	for ; count > 0; count-- {
		*t.count++
		fmt.Fprintf(t.Writer, "ok %d # SKIP %s\n", *t.count, description)
	}
}


// Todo gives a producer of tests that may fail, in the same count.
func (t *T) Todo() *T {
	other := *t
	other.todo = true
	return &other
}

// Diagnostic prints a message as comment lines.
func (t *T) Diagnostic(message string) {
	fmt.Fprintf(t.Writer, "# %s\n", strings.ReplaceAll(strings.TrimSuffix(message, "\n"), "\n", "\n# "))
}

// Diagnosticf formats a message and prints it as comment lines.
func (t *T) Diagnosticf(format string, values ...interface{}) {
	t.Diagnostic(fmt.Sprintf(format, values...))
}

// YAML prints a value as the details of the last test. JSON is YAML.
func (t *T) YAML(details interface{}) error {
	text, err := json.MarshalIndent(details, "  ", "  ")
	if err == nil {
		fmt.Fprintf(t.Writer, "  ---\n  %s\n  ...\n", text)
	}
	return err
}
