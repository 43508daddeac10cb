package gateway

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/problem"
)

// describeErrors adds the errors of an operation of the gateway's own, by the
// names under which the services describe theirs.
func (d *openAPI) describeErrors(op object, r platform.Route) {
	statuses := []int{http.StatusBadRequest, http.StatusUnprocessableEntity}
	if !isProbe(r) {
		statuses = append(statuses, http.StatusTooManyRequests)
	}
	if !r.Access.Public() {
		statuses = append(statuses, http.StatusUnauthorized, http.StatusForbidden)
	}
	if strings.Contains(r.Path, "{") {
		statuses = append(statuses, http.StatusNotFound)
	}
	responses, _ := op["responses"].(object)
	for _, status := range statuses {
		responses[strconv.Itoa(status)] = d.problemAnswer(status)
	}
	if responses["default"] == nil {
		responses["default"] = d.problemAnswer(0)
	}
}

// problemAnswer is a reference to the problems of a status, which it describes
// where no module has.
func (d *openAPI) problemAnswer(status int) object {
	all, _ := d.Components["responses"].(object)
	if all == nil {
		all = object{}
		d.Components["responses"] = all
	}
	name := problem.NameOf(status)
	if all[name] == nil {
		answer := object{
			"description": problem.DescriptionOf(status),
			"content":     object{platform.ProblemContentType: object{"schema": object{"$ref": "#/components/schemas/Problem"}}},
		}
		if names := problem.HeadersOf(status); names != nil {
			headers := object{}
			for _, h := range names {
				headers[h] = object{"schema": object{"type": "string"}}
			}
			answer["headers"] = headers
		}
		all[name] = answer
	}
	return object{"$ref": "#/components/responses/" + name}
}
