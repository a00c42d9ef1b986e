// Server-sent events over fetch (WHATWG HTML, section 9.2): a parser, and a stream that comes back by itself where it
// stopped.

import { errorOf } from "./http";

export interface ServerEvent {
  /** The last id the stream has named so far. */
  id: string;
  data: string;
}

/** Turns pieces of text, cut anywhere, into events. */
export class SseParser {
  private rest = "";
  private data: string[] = [];
  private id = "";

  push(piece: string): ServerEvent[] {
    this.rest += piece;
    const events: ServerEvent[] = [];
    for (;;) {
      const end = /\r\n|\n|\r/.exec(this.rest);
      // a lone CR at the very end may be the first half of CRLF
      if (!end || (end[0] === "\r" && end.index === this.rest.length - 1)) return events;
      const line = this.rest.slice(0, end.index);
      this.rest = this.rest.slice(end.index + end[0].length);
      const event = this.line(line);
      if (event) events.push(event);
    }
  }

  private line(line: string): ServerEvent | null {
    if (line === "") {
      const data = this.data.join("\n");
      const complete = this.data.length > 0;
      this.data = [];
      return complete ? { id: this.id, data } : null;
    }
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "data") this.data.push(value);
    if (field === "id" && !value.includes("\0")) this.id = value;
    return null;
  }
}

/** `lost` is followed by `open` as soon as it works again, or by `ended` when there is nothing to come back to. */
export type StreamState = "connecting" | "open" | "lost" | "ended";

export interface StreamOptions<T> {
  url: string;
  /** The id to start after. */
  after: number;
  onEvent: (event: T) => void;
  onState: (state: StreamState) => void;
}

const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 10_000;

/** Follows a stream until the returned function is called. Comes back with the last id it has seen. */
export function follow<T>(options: StreamOptions<T>): () => void {
  const abort = new AbortController();
  let last = String(options.after);
  let pause = FIRST_PAUSE;
  const once = async (): Promise<boolean> => {
    const response = await fetch(options.url, {
      headers: { accept: "text/event-stream", "last-event-id": last },
      signal: abort.signal,
    });
    if (!response.ok) {
      const error = await errorOf(response);
      // what is gone or not ours will not come back
      if ([401, 403, 404].includes(error.status)) return false;
      throw error;
    }
    options.onState("open");
    pause = FIRST_PAUSE;
    const parser = new SseParser();
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    const decoder = new TextDecoder();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return true;
      for (const event of parser.push(decoder.decode(value, { stream: true }))) {
        if (event.id) last = event.id;
        options.onEvent(JSON.parse(event.data) as T);
      }
    }
  };
  const run = async () => {
    options.onState("connecting");
    while (!abort.signal.aborted) {
      try {
        if (!(await once())) {
        options.onState("ended");
        return;
      }
      } catch {
        if (abort.signal.aborted) return;
      }
      options.onState("lost");
      await wait(pause, abort.signal);
      pause = Math.min(pause * 2, LONGEST_PAUSE);
    }
  };
  void run();
  return () => abort.abort();
}

/** Ends early when aborted, or when the browser says the network is back. */
function wait(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      window.removeEventListener("online", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done, { once: true });
    window.addEventListener("online", done, { once: true });
  });
}
