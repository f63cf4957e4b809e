package limiter_test

import (
	"context"
	"fmt"

	"postern/limiter"
)

func ExampleLocal() {
	l := limiter.NewLocal(limiter.LocalOptions{})
	rate, _ := limiter.ParseLimit("2/min")
	q := &limiter.Query{Cost: 1, Checks: []limiter.Check{
		{Counter: limiter.Counter{Level: limiter.Credential, Subject: "key_1"}, Limit: rate},
	}}
	var a limiter.Answer
	for range 3 {
		if err := l.Decide(context.Background(), q, &a); err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(a.Allowed, a.States[0].Used, a.States[0].Retry > 0)
	}
	// Output:
	// true 1 false
	// true 2 false
	// false 2 true
}
