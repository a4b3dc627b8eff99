/** Questions to the person, as functions that resolve with the answer. */
import { create } from "zustand";
import type { ButtonProps } from "./Button";

interface Choice {
  value: string;
  label: string;
  variant?: ButtonProps["variant"];
}

export interface ChooseQuestion {
  kind: "choose";
  title: string;
  text: string;
  choices: readonly Choice[];
  answer: (value: string | null) => void;
}

export interface TextQuestion {
  kind: "text";
  title: string;
  label: string;
  value: string;
  confirm: string;
  hint?: string | undefined;
  /** What is wrong with a value; null if nothing is. */
  check?: ((value: string) => string | null) | undefined;
  answer: (value: string | null) => void;
}

export type Question = ChooseQuestion | TextQuestion;

/** Questions wait for their turn: the first is in view. */
export const useQuestions = create<{ questions: readonly Question[] }>(() => ({ questions: [] }));

type Unanswered = Omit<ChooseQuestion, "answer"> | Omit<TextQuestion, "answer">;

function put(question: Unanswered): Promise<string | null> {
  return new Promise((resolve) => {
    const asked: Question = {
      ...question,
      answer: (value) => {
        useQuestions.setState(({ questions }) => ({ questions: questions.filter((other) => other !== asked) }));
        resolve(value);
      },
    };
    useQuestions.setState(({ questions }) => ({ questions: [...questions, asked] }));
  });
}

/** One of several answers; null if the question was closed. */
export function chooseDialog(question: { title: string; text: string; choices: readonly Choice[] }): Promise<string | null> {
  return put({ kind: "choose", ...question });
}

export async function confirmDialog(question: { title: string; text: string; confirm?: string; cancel?: string; danger?: boolean }): Promise<boolean> {
  const choices: Choice[] = [
    { value: "no", label: question.cancel ?? "Cancel", variant: "secondary" },
    { value: "yes", label: question.confirm ?? "OK", variant: question.danger ? "danger" : "primary" },
  ];
  return (await chooseDialog({ title: question.title, text: question.text, choices })) === "yes";
}

/** A line of text; null if the question was closed. */
export function askText(question: { title: string; label: string; value?: string; confirm?: string; hint?: string; check?: (value: string) => string | null }): Promise<string | null> {
  return put({ kind: "text", title: question.title, label: question.label, value: question.value ?? "", confirm: question.confirm ?? "OK", hint: question.hint, check: question.check });
}
