// Connects to the port it is given, takes the snippet, and waits to be looked at.
const socket = require("net").connect(Number(process.argv[2]), "127.0.0.1", () => {
  setKeepalive(socket);
});
