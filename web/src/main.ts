// Starts the console.

import "./style.css";
import PrimeVue from "primevue/config";
import { createApp } from "vue";
import App from "./App.vue";
import { router } from "./router";
import { applyPreferences } from "./stores/preferences";
import { preset } from "./theme";

applyPreferences();
createApp(App)
  .use(router)
  .use(PrimeVue, { theme: { preset, options: { darkModeSelector: ".dark", cssLayer: false } } })
  .mount("#app");
