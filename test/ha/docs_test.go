package ha

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// shown is a file in the text of a document.
var shown = regexp.MustCompile("(?s)```(?:ini|sql|yaml)\n(.*?)```\n")

// What docs/high-availability.md shows are the files that the test of failover
// runs with, to the letter.
func TestDocument(t *testing.T) {
	text, err := os.ReadFile("../../docs/high-availability.md")
	if err != nil {
		t.Fatal(err)
	}
	var blocks []string
	for _, match := range shown.FindAllSubmatch(text, -1) {
		blocks = append(blocks, string(match[1]))
	}
	files, err := filepath.Glob(filepath.Join(documents, "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(blocks, string(content)) {
			t.Errorf("the document does not show %s as it is", file)
		}
		if name := filepath.Base(file); !strings.Contains(string(text), "](../deploy/ha/"+name+")") {
			t.Errorf("the document does not link %s", name)
		}
	}
	if len(blocks) != len(files) {
		t.Errorf("the document shows %d files, and there are %d", len(blocks), len(files))
	}
}
