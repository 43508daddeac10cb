package memory_test

import (
	"context"
	"fmt"
	"time"

	"github.com/acme/platform/store/memory"
)

func Example() {
	ctx := context.Background()
	cache := memory.NewCache(64 << 20)
	for range 3 {
		count, _, err := cache.Increment(ctx, "org_1", "calls", 1, time.Minute)
		fmt.Println(count, err)
	}
	// Output:
	// 1 <nil>
	// 2 <nil>
	// 3 <nil>
}
