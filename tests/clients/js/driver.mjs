// Drives real supabase-js clients for the tests: JSON lines in, JSON lines out.
//
// {id, open: NAME, url, key, schema?, headers?}     makes a client, each with a session of its own, as each browser tab has
// {id, client: NAME, steps: [[member, ...args], …]} walks the steps from that client and awaits what they end in
// {id, together: [{client, steps}, …]}              starts all of them before it awaits any
//
// A step names a method to call or, without being one, a property to go into (`auth`).

import { createInterface } from "node:readline";
import { createClient } from "@supabase/supabase-js";
import ws from "ws";

const clients = new Map();

function open({ open: name, url, key, schema = "public", headers = {} }) {
  const auth = { autoRefreshToken: false, persistSession: false, detectSessionInUrl: false };
  // Node 20 has no WebSocket of its own.
  clients.set(name, createClient(url, key, { auth, db: { schema }, global: { headers }, realtime: { transport: ws } }));
  return {};
}

async function walk({ client, steps }) {
  let value = clients.get(client);
  for (const [member, ...args] of steps) {
    const found = value[member];
    if (found === undefined) throw new Error(`supabase-js has no ${member} here`);
    value = typeof found === "function" ? found.apply(value, args) : found;
  }
  const { data = null, error = null, count = null, status = null } = (await value) ?? {};
  return { status, data, count, error: error && plain(error) };
}

// An Error's own fields do not survive JSON.stringify.
const plain = ({ name, message, code, details, hint, status }) => ({ name, message, code, details, hint, status });

async function answer(command) {
  if (command.open) return open(command);
  if (command.together) return Promise.all(command.together.map(walk));
  return walk(command);
}

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  answer(command).then(
    (result) => process.stdout.write(`${JSON.stringify({ id: command.id, result })}\n`),
    (error) => process.stdout.write(`${JSON.stringify({ id: command.id, failed: String(error?.stack ?? error) })}\n`),
  );
}
