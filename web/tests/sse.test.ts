// The event-stream parser, fed in every way a network can cut it, and the stream that comes back by itself.
import { afterEach, describe, expect, it, vi } from "vitest";
import { follow, SseParser, type StreamState } from "../src/api/sse";

const STREAM = 'id: 7\ndata: {"a":1}\n\n: keep-alive\n\nevent: x\ndata: one\ndata: two\n\nid: 8\r\ndata:{"b":"扩"}\r\n\r\n';
const EVENTS = [
  { id: "7", data: '{"a":1}' },
  { id: "7", data: "one\ntwo" },
  { id: "8", data: '{"b":"扩"}' },
];

describe("parser", () => {
  it("reads events wherever the pieces are cut", () => {
    for (let cut = 0; cut <= STREAM.length; cut++) {
      const parser = new SseParser();
      expect([...parser.push(STREAM.slice(0, cut)), ...parser.push(STREAM.slice(cut))]).toEqual(EVENTS);
    }
    const parser = new SseParser();
    expect([...STREAM].flatMap((character) => parser.push(character))).toEqual(EVENTS);
  });

  it("keeps an unfinished event for later", () => {
    const parser = new SseParser();
    expect(parser.push("data: half")).toEqual([]);
    expect(parser.push("\n")).toEqual([]);
    expect(parser.push("\n")).toEqual([{ id: "", data: "half" }]);
  });
});

describe("stream", () => {
  afterEach(() => {
    vi.unstubAllGlobals();
    vi.useRealTimers();
  });

  const body = (text: string) => new Response(text, { status: 200 });

  it("comes back with the last id it has seen", async () => {
    vi.useFakeTimers();
    const asked: string[] = [];
    const answers = ['id: 3\ndata: {"n":3}\n\n', 'id: 4\ndata: {"n":4}\n\n'];
    vi.stubGlobal("fetch", async (_: string, init: RequestInit) => {
      asked.push((init.headers as Record<string, string>)["last-event-id"] ?? "");
      const answer = answers.shift();
      if (answer === undefined) throw new TypeError("network");
      return body(answer);
    });
    const seen: unknown[] = [];
    const states: StreamState[] = [];
    const stop = follow<{ n: number }>({
      url: "/events",
      after: 2,
      onEvent: (event) => seen.push(event.n),
      onState: (state) => states.push(state),
    });
    await vi.advanceTimersByTimeAsync(3_000);
    stop();
    expect(seen).toEqual([3, 4]);
    expect(asked.slice(0, 3)).toEqual(["2", "3", "4"]);
    expect(states.slice(0, 5)).toEqual(["connecting", "open", "lost", "open", "lost"]);
  });

  it("gives up on what is gone", async () => {
    vi.useFakeTimers();
    const fetch = vi.fn(async () => new Response('{"code":"not-found"}', { status: 404 }));
    vi.stubGlobal("fetch", fetch);
    const states: StreamState[] = [];
    follow({ url: "/events", after: 0, onEvent: () => {}, onState: (state) => states.push(state) });
    await vi.advanceTimersByTimeAsync(30_000);
    expect(states.at(-1)).toBe("ended");
    expect(fetch).toHaveBeenCalledTimes(1);
  });
});
