/**
 * The audience of the fan-out benchmark, in a process of its own so that reading costs the server nothing.
 *
 * Arguments: kind, port, sockets. Opens the sockets, a few at a time, says 'ready' to its parent, takes in
 * whatever comes, and ends with its parent.
 */

import net from 'node:net';
import { WebSocket } from 'ws';

const OPENING_MAX = 100;
const [kind, portText, countText] = process.argv.slice(2) as [string, string, string];
const port = Number(portText);

function openPlain(): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, '127.0.0.1', () => resolve());
    socket.on('error', reject);
    socket.resume();
  });
}

/** Speaks just enough of Engine.IO 4 and Socket.IO 5 to become a member of the room. */
function openSocketIo(): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}/socket.io/?EIO=4&transport=websocket`, { perMessageDeflate: false });
    socket.on('error', reject);
    socket.on('message', (data: Buffer, isBinary: boolean) => {
      if (isBinary) return;
      const text = data.toString();
      if (text.startsWith('0')) socket.send('40');
      else if (text === '2') socket.send('3');
      else if (text.startsWith('40')) resolve();
    });
  });
}

const open = kind === 'socket.io' ? openSocketIo : openPlain;
let left = Number(countText);
async function openSome(): Promise<void> {
  while (left-- > 0) await open();
}

process.on('disconnect', () => process.exit());
try {
  await Promise.all(Array.from({ length: OPENING_MAX }, openSome));
  process.send?.('ready');
} catch (error) {
  process.send?.(`cannot open ${countText} sockets: ${(error as Error).message}`);
}
