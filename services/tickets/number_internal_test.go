package tickets

import (
	"regexp"
	"strconv"
	"testing"
)

func TestNumbersAreDerivedAndWellFormed(t *testing.T) {
	form := regexp.MustCompile(`^770[0-9]{10} [A-HJ-NP-Z2-9]{6}$`)
	seen := map[string]bool{}
	for i := range 1000 {
		number, code := numbers("e-"+strconv.Itoa(i/2), i%2)
		if text := number + " " + code; !form.MatchString(text) || seen[text] {
			t.Errorf("candidate %d of e-%d is %s", i%2, i/2, text)
		}
		seen[number+" "+code] = true
		if again, _ := numbers("e-"+strconv.Itoa(i/2), i%2); again != number {
			t.Errorf("the same again is %s, was %s", again, number)
		}
	}
}
