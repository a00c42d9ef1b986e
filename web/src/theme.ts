// The look: PrimeVue's Aura preset with our colours. The rest of the console uses its tokens (`--p-*`) and `style.css`.

import { definePreset } from "@primeuix/themes";
import Aura from "@primeuix/themes/aura";

const slate = {
  0: "#ffffff",
  50: "#f7f8fa",
  100: "#eff1f5",
  200: "#e1e5ec",
  300: "#cbd2dd",
  400: "#98a2b3",
  500: "#6b7688",
  600: "#4c5667",
  700: "#373f4e",
  800: "#222936",
  900: "#161b25",
  950: "#0e121a",
};

export const preset = definePreset(Aura, {
  primitive: {
    borderRadius: { none: "0", xs: "3px", sm: "5px", md: "8px", lg: "10px", xl: "14px" },
    cobalt: {
      50: "#eff4ff",
      100: "#dce7ff",
      200: "#bdd1ff",
      300: "#91b2ff",
      400: "#628bfb",
      500: "#3f6bf2",
      600: "#2f5bea",
      700: "#2446c5",
      800: "#223d9d",
      900: "#21377c",
      950: "#17234b",
    },
  },
  semantic: {
    primary: Object.fromEntries(
      [50, 100, 200, 300, 400, 500, 600, 700, 800, 900, 950].map((n) => [n, `{cobalt.${n}}`]),
    ),
    focusRing: { width: "2px", style: "solid", color: "{primary.400}", offset: "2px" },
    colorScheme: {
      light: {
        surface: slate,
        primary: {
          color: "{primary.600}",
          contrastColor: "#ffffff",
          hoverColor: "{primary.700}",
          activeColor: "{primary.800}",
        },
      },
      dark: {
        surface: slate,
        primary: {
          color: "{primary.400}",
          contrastColor: "#0e121a",
          hoverColor: "{primary.300}",
          activeColor: "{primary.200}",
        },
      },
    },
  },
});
