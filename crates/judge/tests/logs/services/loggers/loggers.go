// Logs the events it is given (JSON, one a line) by the logger that is named: zap, klog, slog.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"os"

	"go.uber.org/zap"
	"k8s.io/klog/v2"
)

type event struct {
	Site    int
	Level   string
	Logger  string
	Message string
	Fields  [][2]string
}

func main() {
	kind := os.Args[1]
	z, _ := zap.Config{Level: zap.NewAtomicLevelAt(zap.DebugLevel), Encoding: "json", EncoderConfig: zap.NewProductionEncoderConfig(),
		OutputPaths: []string{"stdout"}, DisableStacktrace: true}.Build()
	s := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{Level: slog.LevelDebug}))
	flags := flag.NewFlagSet("klog", flag.ExitOnError)
	klog.InitFlags(flags)
	flags.Set("logtostderr", "false")
	klog.SetOutput(os.Stdout)
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		var e event
		if json.Unmarshal(in.Bytes(), &e) != nil {
			panic(in.Text())
		}
		text := fmt.Sprintf("zq%dzq%s", e.Site, e.Message)
		var fields []zap.Field
		var pairs []any
		for _, pair := range e.Fields {
			fields = append(fields, zap.String(pair[0], pair[1]))
			pairs = append(pairs, pair[0], pair[1])
		}
		switch kind + " " + e.Level {
		case "zap DEBUG":
			z.Named(e.Logger).Debug(text, fields...)
		case "zap WARN":
			z.Named(e.Logger).Warn(text, fields...)
		case "zap ERROR":
			z.Named(e.Logger).Error(text, fields...)
		case "klog WARN":
			klog.Warning(text)
		case "klog ERROR":
			klog.Error(text)
		case "slog DEBUG":
			s.With("logger", e.Logger).Debug(text, pairs...)
		case "slog WARN":
			s.With("logger", e.Logger).Warn(text, pairs...)
		case "slog ERROR":
			s.With("logger", e.Logger).Error(text, pairs...)
		default:
			switch kind {
			case "zap":
				z.Named(e.Logger).Info(text, fields...)
			case "klog":
				klog.Info(text)
			case "slog":
				s.With("logger", e.Logger).Info(text, pairs...)
			}
		}
	}
	klog.Flush()
}
