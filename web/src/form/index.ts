export { FormView } from "./FormView";
