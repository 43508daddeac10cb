// Package teststack gives tests the real servers: PostgreSQL, Redis, MongoDB
// and Kafka in containers. Only test files import it.
//
// The images are the official ones; PLATFORM_TEST_POSTGRES_IMAGE, _REDIS_IMAGE,
// _MONGO_IMAGE, _KAFKA_IMAGE and _TOXIPROXY_IMAGE name others, and
// PLATFORM_TEST_MONGO_FLAVOUR and PLATFORM_TEST_KAFKA_FLAVOUR say what stands in
// for the real thing there: "ferretdb" and "mongo-java-server" (which
// mongojava/build makes an image of), and "kfake".
//
// A test whose server cannot be had is skipped, and the skip is counted: where
// PLATFORM_TEST_REPORT names a file, each skip and each image is a line of it.
// PLATFORM_REQUIRE lists the servers without which a test fails instead:
// "postgres,mongo,redis,kafka".
package teststack
