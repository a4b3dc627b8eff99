import { Component, type ErrorInfo, type ReactNode } from "react";
import { Button, EmptyState } from "./ui";

interface Props {
  /** What stopped working, for the message. */
  what: string;
  children: ReactNode;
}

/** Keeps a mistake in one part of the page from taking the others (and the person's graph) with it. */
export class ErrorBoundary extends Component<Props, { error: Error | null }> {
  override state: { error: Error | null } = { error: null };

  static getDerivedStateFromError(error: Error): { error: Error } {
    return { error };
  }

  override componentDidCatch(error: Error, info: ErrorInfo): void {
    console.error(`${this.props.what} stopped working`, error, info.componentStack);
  }

  override render(): ReactNode {
    const { error } = this.state;
    if (!error) return this.props.children;
    return (
      <EmptyState
        icon="error"
        title={`${this.props.what} stopped working`}
        text={`${error.message} Your workflow is not affected.`}
        action={<Button onClick={() => this.setState({ error: null })}>Try again</Button>}
      />
    );
  }
}
