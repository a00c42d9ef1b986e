// The operator's conversations.

import { reactive } from "vue";
import { api } from "../api/http";
import type { Thread } from "../api/types";

export const threads = reactive({
  list: null as Thread[] | null,
  error: null as unknown,
});

export async function loadThreads() {
  try {
    threads.list = await api.threads();
    threads.error = null;
  } catch (error) {
    threads.error = error;
  }
}

/** Says something in a new thread; returns the thread's id. */
export async function startThread(text: string): Promise<string> {
  const thread = await api.openThread();
  await api.say(thread.id, text);
  await loadThreads();
  return thread.id;
}
