// A message broker under load, labelled by the format of each message.
package main

import (
	"fmt"
	"math/rand"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/logger"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

type tagged struct {
	inner *logger.Logger
	lock  sync.Mutex
	sites map[string]int
}

func (t *tagged) tag(format string) string {
	t.lock.Lock()
	defer t.lock.Unlock()
	// A client puts its name before the format.
	key := format[strings.LastIndex(format, " - ")+1:]
	if _, known := t.sites[key]; !known {
		t.sites[key] = len(t.sites)
	}
	return fmt.Sprintf("zq%dzq", t.sites[key]) + format
}
func (t *tagged) Noticef(f string, v ...any) { t.inner.Noticef(t.tag(f), v...) }
func (t *tagged) Warnf(f string, v ...any)   { t.inner.Warnf(t.tag(f), v...) }
func (t *tagged) Fatalf(f string, v ...any)  { t.inner.Errorf(t.tag(f), v...) }
func (t *tagged) Errorf(f string, v ...any)  { t.inner.Errorf(t.tag(f), v...) }
func (t *tagged) Debugf(f string, v ...any)  { t.inner.Debugf(t.tag(f), v...) }
func (t *tagged) Tracef(f string, v ...any)  { t.inner.Tracef(t.tag(f), v...) }

func main() {
	dir, _ := os.MkdirTemp("", "broker")
	defer os.RemoveAll(dir)
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: dir, Username: "app", Password: "good", NoSigs: true})
	if err != nil {
		panic(err)
	}
	os.Stderr.Close()
	os.Stderr = os.Stdout
	s.SetLoggerV2(&tagged{inner: logger.NewStdLogger(true, true, true, false, true), sites: map[string]int{}}, true, true, false)
	go s.Start()
	s.ReadyForConnections(10 * time.Second)
	words := []string{"order", "invoice", "picture", "report", "letter", "parcel", "ticket"}
	for n := 0; n < 16; n++ {
		password := "good"
		if n%4 == 3 {
			password = "bad"
		}
		c, err := nats.Connect(s.ClientURL(), nats.UserInfo("app", password), nats.Name(words[n%7]))
		if err != nil {
			continue
		}
		subject := words[rand.Intn(7)] + "." + words[rand.Intn(7)]
		c.Subscribe(subject, func(*nats.Msg) {})
		for m := 0; m < 3; m++ {
			c.Publish(subject, []byte(fmt.Sprintf("{\"n\":%d,\"what\":\"%s\"}", m, words[rand.Intn(7)])))
		}
		c.Flush()
		if js, err := c.JetStream(); err == nil && n%3 == 0 {
			js.AddStream(&nats.StreamConfig{Name: words[n%7], Subjects: []string{"js." + words[n%7]}})
		}
		c.Close()
	}
	time.Sleep(time.Second)
	s.Shutdown()
}
