// The page's one connection: it proves the token, feeds screens and lives, and
// comes back by itself for as long as the page is open.

import { Lives } from "./lives.js";
import { Screens } from "./screen.js";
import { readUpdate } from "./update.js";

const firstPause = 50; // ms before the first try to reconnect
const longestPause = 1000;
const silence = 5000; // ms without a word, after which a connection counts as dead
const notAuthorised = 1008; // close status
const version = 1; // of the protocol, as this page speaks it

const screens = new Screens(document);
const lives = new Lives(document);
let socket = null;
let pause = firstPause;
let retry = 0;
let heard = 0; // when the server last said something, by performance.now()
let ahead = 0; // server's clock less ours, ms
const serverNow = () => Date.now() + ahead;

function show(state, text = state) {
  const status = document.getElementById("status");
  status.dataset.state = state;
  status.querySelector(".text").textContent = text;
  document.getElementById("denied").hidden = state !== "unauthorised";
}

function start() {
  stop();
  pause = firstPause;
  if (location.hash.length > 1) connect();
  else forbid();
}

function stop() {
  clearTimeout(retry);
  heard = 0;
  if (!socket) return;
  socket.onopen = socket.onmessage = socket.onclose = null;
  socket.close();
  socket = null;
}

function forbid() {
  stop();
  screens.clear();
  lives.clear();
  show("unauthorised", "not authorised");
}

function connect() {
  socket = new WebSocket(`wss://${location.host}/ws`);
  socket.binaryType = "arraybuffer";
  socket.onopen = () => socket.send(JSON.stringify({ type: "hello", token: location.hash.slice(1) }));
  socket.onmessage = (event) => {
    heard = performance.now();
    try {
      if (typeof event.data === "string") listen(JSON.parse(event.data));
      else screens.draw(readUpdate(event.data));
    } catch (error) {
      console.error("a message makes no sense:", error);
      pause = longestPause;
      reconnect();
    }
  };
  socket.onclose = (event) => {
    if (event.code === notAuthorised) forbid();
    else reconnect();
  };
}

function listen(message) {
  ahead = Date.parse(message.now) - Date.now();
  if (message.type === "hello") {
    // After an update the server may speak another; it has the page for it.
    if (message.version !== version) return location.reload();
    pause = firstPause;
    lives.begin(message.life, Date.parse(message.started));
    show("connected");
  }
  screens.update(message.sessions);
  lives.render(serverNow());
}

function reconnect() {
  stop();
  screens.lost();
  lives.end(serverNow());
  lives.render(serverNow());
  show("reconnecting");
  retry = setTimeout(connect, pause);
  pause = Math.min(pause * 2, longestPause);
}

addEventListener("hashchange", () => {
  screens.clear();
  lives.clear();
  show("connecting");
  start();
});
setInterval(() => {
  if (heard && performance.now() - heard > silence) reconnect();
  screens.measure();
  lives.render(serverNow());
}, 1000);
start();
