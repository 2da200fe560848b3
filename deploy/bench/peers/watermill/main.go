// A relay made of Watermill's own parts, as its documentation puts an outbox together: the SQL subscriber hands on what is in a
// table, the router forwards it, the Kafka publisher awaits each acknowledgement.
package main

import (
	"context"
	"database/sql"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
	wsql "github.com/ThreeDotsLabs/watermill-sql/v4/pkg/sql"
	"github.com/ThreeDotsLabs/watermill/message"
	_ "github.com/jackc/pgx/v5/stdlib"
)

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

func main() {
	logger := watermill.NewStdLogger(false, false)
	db := must(sql.Open("pgx", os.Getenv("DATABASE_URL")))
	from, to := os.Getenv("FROM"), os.Getenv("TO")

	subscriber := must(wsql.NewSubscriber(wsql.BeginnerFromStdSQL(db), wsql.SubscriberConfig{
		SchemaAdapter:    wsql.DefaultPostgreSQLSchema{SubscribeBatchSize: 1000},
		OffsetsAdapter:   wsql.DefaultPostgreSQLOffsetsAdapter{},
		PollInterval:     10 * time.Millisecond,
		InitializeSchema: true,
	}, logger))

	config := kafka.DefaultSaramaSyncPublisherConfig()
	config.Version = sarama.V2_8_0_0
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Producer.Idempotent = true
	config.Producer.Compression = sarama.CompressionLZ4
	config.Net.MaxOpenRequests = 1
	key := func(_ string, message *message.Message) (string, error) { return message.Metadata.Get("key"), nil }
	publisher := must(kafka.NewPublisher(kafka.PublisherConfig{
		Brokers:               []string{os.Getenv("KAFKA_BOOTSTRAP_SERVERS")},
		Marshaler:             kafka.NewWithPartitioningMarshaler(key),
		OverwriteSaramaConfig: config,
	}, logger))

	router := must(message.NewRouter(message.RouterConfig{}, logger))
	router.AddHandler("forward", from, subscriber, to, publisher, message.PassthroughHandler)
	stop, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	if err := router.Run(stop); err != nil {
		log.Fatal(err)
	}
}
