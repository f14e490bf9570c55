package main

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/segmentio/kafka-go"
)

// bareCmd is the least that a pixel on Echo and kafka-go can be: an image, and with --brokers a record of a fixed size, whose
// acknowledgment it waits for. The Writer is set up as the collector's.
type bareCmd struct {
	Listen      string   `required:"" help:"Address."`
	Brokers     []string `help:"Kafka; without, nothing is written."`
	RecordBytes int      `default:"400" help:"Size of a record's value."`
}

var gif = []byte("GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\x00\x00\x00\x21\xf9\x04\x01\x00\x00\x00\x00\x2c\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02\x44\x01\x00\x3b")

// Run serves until the context ends.
func (c *bareCmd) Run(ctx context.Context) error {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	if len(c.Brokers) == 0 {
		e.GET("/p.gif", func(c echo.Context) error { return c.Blob(http.StatusOK, "image/gif", gif) })
	} else {
		writer := c.writer()
		defer func() { _ = writer.Close() }()
		value := make([]byte, c.RecordBytes)
		_, _ = rand.Read(value) // never fails
		e.GET("/p.gif", func(c echo.Context) error {
			key := make([]byte, 16)
			_, _ = rand.Read(key)
			if err := writer.WriteMessages(c.Request().Context(), kafka.Message{Key: key, Value: value}); err != nil {
				return err
			}
			return c.Blob(http.StatusOK, "image/gif", gif)
		})
	}
	server := &http.Server{Addr: c.Listen, Handler: e, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// writer is what services/collector/internal/publish makes.
func (c *bareCmd) writer() *kafka.Writer {
	return &kafka.Writer{
		Addr: kafka.TCP(c.Brokers...), Topic: topic, Balancer: kafka.Murmur2Balancer{Consistent: true},
		RequiredAcks: kafka.RequireAll, Compression: kafka.Lz4, BatchTimeout: 2 * time.Millisecond, BatchSize: 256, BatchBytes: 1_000_000,
	}
}
