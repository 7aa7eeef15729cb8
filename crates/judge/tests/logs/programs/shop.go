// Logs with log and log/slog; prints the event of each record on stdout. Argument: std, text or json.
package main

import (
	"errors"
	"fmt"
	"log"
	"log/slog"
	"math/rand"
	"os"
)

func main() {
	random := rand.New(rand.NewSource(7))
	users := []string{"ann", "bob", "cleo", "dora", "emil"}
	states := []string{"started", "stopped", "paused", "failed"}
	say := func(level slog.Level, event, line, message string, pairs ...any) {
		fmt.Println(event)
		if os.Args[1] == "std" {
			log.Print(line)
		} else {
			slog.Log(nil, level, message, pairs...)
		}
	}
	switch os.Args[1] {
	case "std":
		log.SetFlags(log.LstdFlags | log.Lshortfile)
	case "text":
		slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})))
	case "json":
		slog.SetDefault(slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})))
	}
	for i := 0; i < 500; i++ {
		n := random.Intn(100000)
		user := users[random.Intn(5)]
		state := states[random.Intn(4)]
		switch random.Intn(8) {
		case 0:
			say(slog.LevelInfo, "G1", fmt.Sprintf("GET /item/%d 200 %dms", n, n%90), "request served", "path", fmt.Sprintf("/item/%d", n), "ms", n%90)
		case 1:
			say(slog.LevelInfo, "G2", fmt.Sprintf("login of user %s from 10.0.0.%d:%d", user, n%250, n%60000), fmt.Sprintf("login of user %s", user), "remote", "10.0.0.1")
		case 2:
			say(slog.LevelWarn, "G3", fmt.Sprintf("retrying in %.2fs: dial tcp 10.0.0.%d:5432: connection refused", float64(n)/1000, n%250), fmt.Sprintf("retrying in %.2fs", float64(n)/1000), "err", errors.New("connection refused"))
		case 3:
			say(slog.LevelInfo, "G4"+state, fmt.Sprintf("worker %d %s", n%16, state), fmt.Sprintf("worker %d %s", n%16, state))
		case 4:
			say(slog.LevelError, "G5", fmt.Sprintf("write /var/data/%x.tmp: no space left on device", n), fmt.Sprintf("write /var/data/%x.tmp failed", n), "err", "no space left")
		case 5:
			say(slog.LevelDebug, "G6", fmt.Sprintf("cache hit ratio %.1f%%", float64(n%1000)/10), fmt.Sprintf("cache hit ratio %.1f%%", float64(n%1000)/10))
		case 6:
			say(slog.LevelInfo, "G7", "configuration reloaded", "configuration reloaded")
		default:
			say(slog.LevelInfo, "G8", fmt.Sprintf("stored order id=%d total=%d.%02d currency=EUR", n, n%900, n%100), fmt.Sprintf("stored order %d", n), "total", n%900)
		}
	}
}
