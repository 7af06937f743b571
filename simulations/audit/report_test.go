package audit

import (
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sotto-fl/sotto/client/participant"
)

// The correct build's Send stands for participant.Report: beside the encrypted vector it has only what the order said. A new
// field has to be weighed here, and in the message check, before it leaves.
func TestReportHasNoRoomForMetrics(t *testing.T) {
	var got []string
	for f := range reflect.TypeFor[participant.Report]().Fields() {
		got = append(got, f.Name)
	}
	want := []string{"Run", "Round", "Attempt", "Model", "TaskHash", "Body"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("fields of a report (-want +got):\n%s", d)
	}
}
