// One conversation as it stands, and how each event moves it on. Pure: the room feeds it.

import type { Change, Message, TurnEvent } from "../api/types";

export interface Conversation {
  messages: Message[];
  /** The newest record of each change of the thread, without diffs. */
  changes: Record<string, Change>;
  /** What of the answer has come so far. */
  streaming: string;
  progress: string | null;
  /** Whether kubemate owes a reply. */
  busy: boolean;
}

export function emptyConversation(): Conversation {
  return { messages: [], changes: {}, streaming: "", progress: null, busy: false };
}

/** Everything that was said, as the server keeps it. */
export function load(conversation: Conversation, messages: Message[], changes: Change[]) {
  conversation.messages = messages;
  conversation.changes = Object.fromEntries(changes.map((change) => [change.id, change]));
  conversation.streaming = "";
  conversation.progress = null;
  conversation.busy = messages.at(-1)?.speaker.who === "operator";
}

/** The number of the last message, after which events are to be sent. */
export function lastId(conversation: Conversation): number {
  return conversation.messages.at(-1)?.id ?? 0;
}

/** The stream broke: the next one begins with what has been written by then. */
export function tear(conversation: Conversation) {
  conversation.streaming = "";
}

export function apply(conversation: Conversation, event: TurnEvent) {
  switch (event.event) {
    case "accepted":
      put(conversation, event.message);
      conversation.busy = true;
      break;
    case "progress":
      conversation.progress = event.text;
      break;
    case "delta":
      conversation.streaming += event.text;
      break;
    case "message":
      put(conversation, event.message);
      conversation.busy = event.message.speaker.who === "operator";
      if (conversation.busy) break;
      conversation.streaming = "";
      conversation.progress = null;
      break;
    case "done":
      conversation.streaming = "";
      conversation.progress = null;
      conversation.busy = false;
      break;
    case "change": {
      const known = conversation.changes[event.change.id];
      if (!known || known.version <= event.change.version) {
        conversation.changes[event.change.id] = event.change;
      }
      break;
    }
  }
}

/** Messages may come twice (from the request that sent them, and from the stream) and out of order. */
function put(conversation: Conversation, message: Message) {
  const at = conversation.messages.findIndex((known) => known.id >= message.id);
  if (at < 0) conversation.messages.push(message);
  else if (conversation.messages[at]?.id === message.id) conversation.messages[at] = message;
  else conversation.messages.splice(at, 0, message);
}
