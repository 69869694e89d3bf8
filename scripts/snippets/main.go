// Connects to the port it is given, takes the snippet, and waits to be looked at.
package main

import (
	"log"
	"net"
	"os"
	"time"
)

func main() {
	conn, err := net.Dial("tcp", "127.0.0.1:"+os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	if err := setKeepalive(conn.(*net.TCPConn)); err != nil {
		log.Fatal(err)
	}
	time.Sleep(time.Hour)
}
