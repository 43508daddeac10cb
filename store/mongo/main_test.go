package mongo_test

import (
	"os"
	"testing"

	"github.com/acme/platform/internal/test/teststack"
)

func TestMain(m *testing.M) { os.Exit(teststack.Main(m)) }
