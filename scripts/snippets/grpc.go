// `server PORT` or `client PORT`, with the snippet's parameters; no call is ever made.
package main

import (
	"log"
	"net"
	"os"
	"time"

	"google.golang.org/grpc"
)

func main() {
	address := "127.0.0.1:" + os.Args[2]
	if os.Args[1] == "server" {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			log.Fatal(err)
		}
		log.Fatal(grpc.NewServer(grpc.KeepaliveEnforcementPolicy(policy),
			grpc.KeepaliveParams(server)).Serve(listener))
	}
	_, err := grpc.Dial(address, grpc.WithInsecure(), grpc.WithBlock(), grpc.WithKeepaliveParams(client))
	if err != nil {
		log.Fatal(err)
	}
	time.Sleep(time.Hour)
}
