// A web server of the Go runtime for test_debian.py: a static binary of Debian's golang-go.
//
//	/         greets
//	/work?n=  n goroutines sieve primes in memory that becomes garbage at once, and send their counts
//	          over a channel: the sum is known
//	/file     a file's contents, by sendfile
//	/stats    processors, collections of garbage
package main

import (
	"fmt"
	"net/http"
	"os"
	"runtime"
	"strconv"
)

var limit = 20000 // there are 2262 primes below; no constant: the sieve shall not lie on the stack

func primes() int {
	composite := make([]bool, limit)
	n := 0
	for i := 2; i < limit; i++ {
		if composite[i] {
			continue
		}
		n++
		for k := i * i; k < limit; k += i {
			composite[k] = true
		}
	}
	return n
}

func work(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.Atoi(r.FormValue("n"))
	if err != nil || n < 1 || n > 10000 {
		http.Error(w, "n?", http.StatusBadRequest)
		return
	}
	counts := make(chan int)
	for i := 0; i < n; i++ {
		go func() {
			counts <- primes()
		}()
	}
	sum := 0
	for i := 0; i < n; i++ {
		sum += <-counts
	}
	fmt.Fprintln(w, sum)
}

func main() {
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "hello from go")
	})
	http.HandleFunc("/work", work)
	http.HandleFunc("/file", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, os.Args[0])
	})
	http.HandleFunc("/stats", func(w http.ResponseWriter, r *http.Request) {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		fmt.Fprintln(w, runtime.GOMAXPROCS(0), m.NumGC)
	})
	fmt.Println(http.ListenAndServe(":8001", nil))
}
