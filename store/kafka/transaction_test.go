package kafka_test

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"testing"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
)

// produceInTx writes one event as part of a transaction, which kafka-go cannot:
// its batches have no producer, so it is written into the bytes.
func produceInTx(tb testing.TB, c *kafkago.Client, topic, tx string, producer int, epoch int16) {
	tb.Helper()
	var buffer bytes.Buffer
	header := func(name, value string) kafkago.Header { return kafkago.Header{Key: name, Value: []byte(value)} }
	set := protocol.RecordSet{Version: 2, Records: kafkago.NewRecordReader(kafkago.Record{Headers: []kafkago.Header{
		header("ce_specversion", "1.0"), header("ce_id", tx), header("ce_source", "/s"), header("ce_type", "t"),
		header("ce_subject", "s"), header("ce_time", "2026-01-02T03:04:05Z"), header("ce_tenantid", "org_acme"),
	}})}
	if _, err := set.WriteTo(&buffer); err != nil {
		tb.Fatal(err)
	}
	batch := buffer.Bytes()[4:]
	binary.BigEndian.PutUint16(batch[21:], uint16(protocol.Transactional))
	binary.BigEndian.PutUint64(batch[43:], uint64(producer))
	binary.BigEndian.PutUint16(batch[51:], uint16(epoch))
	binary.BigEndian.PutUint32(batch[53:], 0)
	binary.BigEndian.PutUint32(batch[17:], crc32.Checksum(batch[21:], crc32.MakeTable(crc32.Castagnoli)))
	until(tb, "the write in a transaction", func() bool {
		answer, err := c.RawProduce(tb.Context(), &kafkago.RawProduceRequest{
			Topic: topic, RequiredAcks: kafkago.RequireAll, TransactionalID: tx,
			RawRecords: protocol.RawRecordSet{Reader: bytes.NewReader(buffer.Bytes())},
		})
		return err == nil && (answer.Error == nil || answer.Error == kafkago.DuplicateSequenceNumber)
	})
}
