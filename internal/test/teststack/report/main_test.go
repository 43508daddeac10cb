package main

import (
	"strings"
	"testing"
)

func TestSummarize(t *testing.T) {
	for _, c := range []struct{ report, want string }{
		{"", "left out: nothing\n"},
		{
			"image\tkafka\tapache/kafka:4\t\nimage\tmongo\tferret:1\tferretdb\nimage\tkafka\tapache/kafka:4\t\n",
			"image of kafka: apache/kafka:4\nimage of mongo: ferret:1, with ferretdb in the place of the real one\nleft out: nothing\n",
		},
		{
			"skipped\tredis\tTestA\tno engine\nskipped\tmongo\tTestB/x\tno $lookup\nskipped\tredis\tTestC\tno engine\nbroken\nskipped\tredis\tTestC\t" +
				strings.Repeat("é", 100) + "\n",
			"left out for want of mongo: 1 tests\n  1: no $lookup\nleft out for want of redis: 2 tests\n  2: no engine\n  1: " +
				strings.Repeat("é", 80) + "…\n",
		},
	} {
		var got strings.Builder
		if err := summarize(strings.NewReader(c.report), &got); err != nil || got.String() != c.want {
			t.Errorf("got %v\n%s\nwant\n%s", err, got.String(), c.want)
		}
	}
}
