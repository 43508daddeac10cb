// Package standard puts the whole platform together from one [Config]: stores,
// accounts, records, metrics, messages, the gateway before them, and the work
// in the background, in the right order and with one lifecycle.
//
//	api, err := standard.Open(ctx, standard.Config{Data: "acme-data"})
//	if err != nil {
//		return err
//	}
//	defer api.Close(context.Background())
//	mux.Handle("/", api)
//
// The zero Config with a folder for its data is the embedded platform: a SQLite
// file with the keys of its secrets beside it, and this process's memory. Other stores come in by openers, so that a
// program holds only the drivers that it names:
//
//	standard.Config{
//		PublicURL:  "https://api.example.com",
//		Sealer:     seal.Open(seal.File("/etc/acme/platform.keys")),
//		Relational: postgres.Open(postgresURL),
//		Documents:  mongo.Open(mongoURL),
//		Live:       redis.Open(redisURL),
//		Events:     kafka.Open(kafkaURL),
//	}
//
// Package standard/all turns URLs into openers for programs that learn their
// stores at run time; it alone imports every driver.
//
// # What a host replaces
//
// Its accounts ([Config.Accounts]), its logger, clock and ids, its connection
// pools (an opener of a driver's Config, such as
// postgres.Config{Runtime: pool, System: pool}.Open), the way of e-mails, and
// each setting of each part. [Config.Modules] adds modules of the host, which
// get the parts and are served by the same gateway.
//
// Each part can be wired by hand too: nothing here is out of reach of a program
// that imports the packages one by one.
package standard
