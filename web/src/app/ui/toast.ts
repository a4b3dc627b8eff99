/** Short messages that do not stop the work. */
import { create } from "zustand";

export interface ToastAction {
  label: string;
  run: () => void;
}

export interface ToastMessage {
  /** A message with the id of one in view takes its place. */
  id?: string;
  title: string;
  text?: string;
  kind?: "info" | "success" | "warning" | "danger";
  actions?: readonly ToastAction[];
  /** Stays until closed. */
  lasting?: boolean;
}

export type ShownToast = ToastMessage & { id: string; stamp: number };

let counter = 0;

export const useToasts = create<{ toasts: readonly ShownToast[] }>(() => ({ toasts: [] }));

export function toast(message: ToastMessage): string {
  counter += 1;
  const shown: ShownToast = { ...message, id: message.id ?? `toast-${counter}`, stamp: counter };
  useToasts.setState(({ toasts }) => ({ toasts: [...toasts.filter((other) => other.id !== shown.id), shown].slice(-5) }));
  return shown.id;
}

export function dismissToast(id: string): void {
  useToasts.setState(({ toasts }) => ({ toasts: toasts.filter((other) => other.id !== id) }));
}
