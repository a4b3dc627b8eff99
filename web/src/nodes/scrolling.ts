import type { FocusEvent } from "react";

/** The wheel scrolls a text only once the person is in it; before, it zooms the canvas as everywhere else. */
export const scrollsWhenFocused = {
  onFocus: (event: FocusEvent<HTMLElement>): void => event.currentTarget.classList.add("nowheel"),
  onBlur: (event: FocusEvent<HTMLElement>): void => event.currentTarget.classList.remove("nowheel"),
};
