// An HTTP server on the socket whose number is its argument.
const http = require("http");

const server = http.createServer((request, response) => {
    response.setHeader("Connection", "close");
    response.end(`hello from ${process.pid}\n`);
});
server.listen({ fd: Number(process.argv[2]) });
process.on("SIGTERM", () => server.close(() => process.exit(0)));
