// How events move a conversation on.
import { describe, expect, it } from "vitest";
import type { Change, Message, TurnEvent } from "../src/api/types";
import { apply, emptyConversation, lastId, load, tear } from "../src/stores/conversation";

const alice = { name: "alice", groups: [], roles: [], channel: "web" as const };
const said = (id: number): Message => ({
  thread: "t",
  id,
  speaker: { who: "operator", actor: alice },
  blocks: [{ type: "text", text: `question ${id}` }],
  at: "2026-01-01T00:00:00Z",
});
const reply = (id: number): Message => ({ ...said(id), speaker: { who: "kubemate" } });
const change = (version: number) => ({ id: "c-1", version }) as Change;

function after(...events: TurnEvent[]) {
  const conversation = emptyConversation();
  for (const event of events) apply(conversation, event);
  return conversation;
}

describe("conversation", () => {
  it("streams an answer and replaces it by the stored message", () => {
    const running: TurnEvent[] = [
      { event: "accepted", message: said(1) },
      { event: "progress", phase: "tool", text: "reading pods" },
      { event: "delta", text: "two " },
      { event: "delta", text: "pods" },
    ];
    expect(after(...running)).toMatchObject({ streaming: "two pods", progress: "reading pods", busy: true });
    const done = after(...running, { event: "message", message: reply(2) }, { event: "done" });
    expect(done).toMatchObject({ streaming: "", progress: null, busy: false });
    expect(done.messages.map((message) => message.id)).toEqual([1, 2]);
  });

  it("keeps messages once and in order, however they come", () => {
    const conversation = after(
      { event: "message", message: reply(2) },
      { event: "accepted", message: said(1) },
      { event: "message", message: reply(2) },
    );
    expect(conversation.messages.map((message) => message.id)).toEqual([1, 2]);
    expect(lastId(conversation)).toBe(2);
  });

  it("goes on with an answer after the stream broke, from what the next one begins with", () => {
    const conversation = after({ event: "accepted", message: said(1) }, { event: "delta", text: "one " });
    tear(conversation);
    apply(conversation, { event: "delta", text: "one two " });
    apply(conversation, { event: "message", message: said(1) });
    apply(conversation, { event: "delta", text: "three" });
    expect(conversation.streaming).toBe("one two three");
    apply(conversation, { event: "message", message: reply(2) });
    expect(conversation.streaming).toBe("");
  });

  it("shows an answer that was under way when the conversation was opened", () => {
    const conversation = emptyConversation();
    load(conversation, [said(1)], []);
    apply(conversation, { event: "delta", text: "begun" });
    expect(conversation.streaming).toBe("begun");
  });

  it("knows from what is stored that a reply is owed", () => {
    const conversation = emptyConversation();
    load(conversation, [said(1)], []);
    expect(conversation.busy).toBe(true);
    load(conversation, [said(1), reply(2)], [change(3)]);
    expect(conversation.busy).toBe(false);
  });

  it("keeps the newest record of a change", () => {
    const conversation = after({ event: "change", change: change(5) }, { event: "change", change: change(4) });
    expect(conversation.changes["c-1"]?.version).toBe(5);
  });
});
