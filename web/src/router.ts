// The rooms and their addresses. Rooms are loaded when they are entered.

import { createRouter, createWebHistory } from "vue-router";
import { loadSession, session } from "./stores/session";

export const router = createRouter({
  history: createWebHistory(),
  routes: [
    { path: "/", redirect: "/chat" },
    { path: "/login", component: () => import("./rooms/LoginPage.vue"), meta: { open: true } },
    { path: "/chat/:id?", name: "chat", component: () => import("./rooms/ChatRoom.vue") },
    { path: "/changes/:id?", name: "changes", component: () => import("./rooms/ChangesRoom.vue") },
    { path: "/cluster", name: "cluster", component: () => import("./rooms/ClusterRoom.vue") },
    { path: "/:rest(.*)*", component: () => import("./rooms/NotFound.vue") },
  ],
});

router.beforeEach(async (to) => {
  // a server that cannot be asked is told by the room itself
  if (session.state === "unknown") await loadSession().catch(() => {});
  if (to.meta.open) return session.state === "in" ? "/chat" : true;
  if (session.state !== "out") return true;
  return { path: "/login", query: to.fullPath === "/chat" ? {} : { next: to.fullPath } };
});
