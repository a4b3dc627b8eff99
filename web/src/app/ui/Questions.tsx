import { useState } from "react";
import { Button } from "./Button";
import { Dialog } from "./Dialog";
import { TextField } from "./TextField";
import { useQuestions, type ChooseQuestion, type TextQuestion } from "./ask";

/** Mounted once by the app. */
export function Questions() {
  const question = useQuestions((state) => state.questions[0]);
  if (!question) return null;
  return question.kind === "choose" ? <Choose question={question} /> : <AskText key={question.title} question={question} />;
}

/** The last answer, which is the usual one; not if it destroys something. */
function firstFocus({ choices }: ChooseQuestion): number {
  const last = choices.length - 1;
  return choices[last]?.variant === "danger" ? 0 : last;
}

function Choose({ question }: { question: ChooseQuestion }) {
  return (
    <Dialog
      open
      onOpenChange={(open) => !open && question.answer(null)}
      title={question.title}
      description={question.text}
      size="sm"
      footer={question.choices.map((choice, index) => (
        <Button key={choice.value} variant={choice.variant ?? "secondary"} autoFocus={index === firstFocus(question)} onClick={() => question.answer(choice.value)}>
          {choice.label}
        </Button>
      ))}
    />
  );
}

function AskText({ question }: { question: TextQuestion }) {
  const [value, setValue] = useState(question.value);
  const problem = question.check?.(value.trim()) ?? null;
  const fits = value.trim() !== "" && !problem;
  return (
    <Dialog
      open
      onOpenChange={(open) => !open && question.answer(null)}
      title={question.title}
      size="sm"
      footer={
        <>
          <Button onClick={() => question.answer(null)}>Cancel</Button>
          <Button variant="primary" type="submit" form="sl-question" disabled={!fits}>
            {question.confirm}
          </Button>
        </>
      }
    >
      <form
        id="sl-question"
        onSubmit={(event) => {
          event.preventDefault();
          if (fits) question.answer(value.trim());
        }}
      >
        <TextField label={question.label} value={value} onChange={setValue} autoFocus onFocus={(event) => event.target.select()} problem={value === question.value ? null : problem} />
        {question.hint && <p className="sl-hint">{question.hint}</p>}
      </form>
    </Dialog>
  );
}
