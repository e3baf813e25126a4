// A browser's WebSocket in node: sends each of the texts, then a few bytes, and prints what comes back, a line each.
//     node browser_socket.js ws://HOST:PORT TEXT...
// From node 22 on it is there; Debian's node-ws has the same.
const WebSocket = globalThis.WebSocket ?? require('ws');
const [where, ...messages] = process.argv.slice(2);
messages.push(Uint8Array.of(0x61, 0xff, 0x62));

const socket = new WebSocket(where);
socket.binaryType = 'arraybuffer';
const sendNext = () => (messages.length > 0 ? socket.send(messages.shift()) : socket.close(1000));
socket.onopen = sendNext;
socket.onmessage = ({ data }) => {
    console.log(typeof data === 'string' ? data : Buffer.from(data).toString('hex'));
    sendNext();
};
socket.onerror = ({ message }) => console.error(message ?? 'it failed');
socket.onclose = ({ code, wasClean }) => console.log(`closed with ${code}${wasClean ? '' : ' by a broken connection'}`);
