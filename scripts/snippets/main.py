# Connects to the port it is given, takes the snippet, and waits to be looked at.
import sys
import time

connection = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
set_keepalive(connection)
time.sleep(3600)
