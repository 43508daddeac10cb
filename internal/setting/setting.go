// Package setting checks the Config of a constructor and names every field
// that is wrong in one error.
package setting

import (
	"fmt"
	"strings"
)

// Check collects what is wrong with a Config.
type Check struct {
	component string
	problems  []string
}

// For returns a check for the Config of a package such as "user".
func For(component string) *Check { return &Check{component: component} }

// Need notes a field that is not as it must be; must says how: "must be set".
func (c *Check) Need(ok bool, field, must string) {
	if !ok {
		c.problems = append(c.problems, "Config."+field+" "+must)
	}
}

// Err returns nil or one error with all that was noted.
func (c *Check) Err() error {
	if c.problems == nil {
		return nil
	}
	return fmt.Errorf("%s: %s", c.component, strings.Join(c.problems, "; "))
}
