// One call of any RPC by connect-web, as the web app makes it: gRPC-Web, with messages known from
// the descriptor set alone. Reads {gateway, descriptors, service, method, request, headers, most}
// from stdin, writes {messages, headers, fault} to stdout.
import { readFileSync } from "node:fs";
import { createFileRegistry, fromBinary, fromJson, toJson } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";

const asked = JSON.parse(readFileSync(0, "utf8"));
const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, readFileSync(asked.descriptors)));
const service = registry.getService(asked.service);
const method = service.methods.find((each) => each.name === asked.method);
const client = createClient(service, createGrpcWebTransport({ baseUrl: asked.gateway }));

const seen = { messages: [], headers: {}, fault: null };
const stop = new AbortController();
const options = {
  headers: asked.headers,
  signal: stop.signal,
  timeoutMs: 20000,
  onHeader: (headers) => { seen.headers = Object.fromEntries(headers); },
};

function keep(message) {
  seen.messages.push(toJson(method.output, message, { registry }));
}

function described(error) {
  const known = ["google.rpc.ErrorInfo", "google.rpc.BadRequest", "google.rpc.RetryInfo"];
  const details = known.flatMap((name) => {
    const type = registry.getMessage(name);
    return error.findDetails(type).map((detail) => ({ type: name, ...toJson(type, detail) }));
  });
  return { code: Code[error.code], message: error.rawMessage, details };
}

try {
  const answer = client[method.localName](fromJson(method.input, asked.request), options);
  if (method.methodKind === "server_streaming") {
    for await (const message of answer) {
      keep(message);
      if (seen.messages.length === asked.most) stop.abort();
    }
  } else {
    keep(await answer);
  }
} catch (error) {
  if (!stop.signal.aborted) seen.fault = described(ConnectError.from(error));
}
process.stdout.write(JSON.stringify(seen));
