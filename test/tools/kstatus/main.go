// Command kstatus reads objects of Kubernetes as JSON, one a line, and writes for each what kstatus, as Flux and kapp have
// it, makes of it: InProgress, Failed, Current, Terminating, NotFound or Unknown, and its message, with a tab between.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func main() {
	if err := judge(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "kstatus:", err)
		os.Exit(1)
	}
}

func judge(objects io.Reader, verdicts io.Writer) error {
	for decoder := json.NewDecoder(objects); ; {
		object := &unstructured.Unstructured{}
		// Through unstructured's own decoding, since kstatus wants integers as int64.
		var raw json.RawMessage
		if err := decoder.Decode(&raw); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := object.UnmarshalJSON(raw); err != nil {
			return err
		}
		result, err := status.Compute(object)
		if err != nil {
			return err
		}
		fmt.Fprintf(verdicts, "%s\t%s\n", result.Status, result.Message)
	}
}
