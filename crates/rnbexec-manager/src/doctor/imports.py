import ast
import sys

missing, tried = [], 0
for cell, source in sources:
    try:
        source = get_ipython().transform_cell(source)
    except NameError:
        pass
    try:
        statements = ast.parse(source).body
    except SyntaxError:
        continue
    for statement in statements:
        imports = (ast.Import, ast.ImportFrom)
        guarded = isinstance(statement, ast.Try) and all(isinstance(inner, imports) for inner in statement.body)
        if not guarded and not isinstance(statement, imports):
            continue
        tried += 1
        try:
            exec(compile(ast.Module([statement], []), "<import>", "exec"), {"__name__": "__main__"})
        except Exception as error:
            missing.append({"cell": cell, "module": getattr(error, "name", None), "said": f"{type(error).__name__}: {error}"})

from IPython.display import display

_ = display({"application/vnd.rnbexec.imports+json": {"python": sys.executable, "tried": tried, "missing": missing}}, raw=True)
