// Loaded before the language server: it ends where it would reach for the network.
const refuse = () => {
  process.stderr.write("the server reached for the network\n");
  process.exit(3);
};
require("node:net").Socket.prototype.connect = refuse;
require("node:dns").lookup = refuse;
