//! From the parsed expression to the typed tree: names, operators, literals. Calls are `calls`.

use cel::Env;
use cel::IdedExpr;
use cel::common::ast::CallExpr;
use cel::common::ast::Expr;
use cel::common::ast::LiteralValue;
use cel::common::ast::SourceInfo;
use cel::common::ast::operators;

use crate::decision::expression::DEPTH_MAX;
use crate::decision::expression::ExpressionFault;
use crate::decision::expression::ExpressionProblem;
use crate::decision::expression::NODES_MAX;
use crate::decision::expression::syntax::syntax_fault;
use crate::decision::expression::tree::Arithmetic;
use crate::decision::expression::tree::Comparison;
use crate::decision::expression::tree::Kind;
use crate::decision::expression::tree::Node;
use crate::decision::facts::Fact;
use crate::decision::facts::Value;
use crate::decision::facts::is_family;

/// A node and what it gives.
pub(super) type Typed = (Node, Kind);

/// The walk through one parsed expression.
pub(super) struct Compiler<'t> {
    text: &'t str,
    places: SourceInfo,
    /// The names that quantifiers around the present place have bound.
    pub(super) locals: Vec<String>,
    nodes: usize,
    depth: usize,
    facts: Vec<Fact>,
}

impl<'t> Compiler<'t> {
    /// Parses and compiles a whole expression.
    pub(super) fn parse(text: &'t str) -> Result<(Typed, Vec<Fact>), ExpressionFault> {
        // Without macros, so that `exists` and the like stay the calls that were written.
        let env = Env::default().with_optional_support(false);
        let parsed = env.parser().parse_with_source_info(text);
        let (root, places) = parsed.map_err(|errors| syntax_fault(&errors))?;
        let mut compiler = Self {
            text,
            places,
            locals: Vec::new(),
            nodes: 0,
            depth: 0,
            facts: Vec::new(),
        };
        let typed = compiler.node(&root)?;
        Ok((typed, compiler.facts))
    }

    pub(super) fn node(&mut self, expr: &IdedExpr) -> Result<Typed, ExpressionFault> {
        self.nodes += 1;
        if self.nodes > NODES_MAX || self.depth >= DEPTH_MAX {
            return Err(self.fault(expr, ExpressionProblem::TooLarge));
        }
        self.depth += 1;
        let typed = self.inner(expr);
        self.depth -= 1;
        typed
    }

    fn inner(&mut self, expr: &IdedExpr) -> Result<Typed, ExpressionFault> {
        match &expr.expr {
            Expr::Call(call) => self.call(expr, call),
            Expr::Ident(name) => match self.locals.iter().rposition(|local| local == name) {
                Some(at) => Ok((Node::Local(at), Kind::Text)),
                None => self.fact(expr),
            },
            Expr::Select(_) => self.fact(expr),
            Expr::List(list) => self.list(&list.elements),
            Expr::Literal(literal) => self.literal(expr, literal),
            Expr::Comprehension(_) | Expr::Map(_) => self.unsupported(expr, "a map"),
            Expr::Struct(_) => self.unsupported(expr, "a message"),
            Expr::Unspecified => self.unsupported(expr, "nothing"),
        }
    }

    /// A node that has to be of a kind.
    pub(super) fn of_kind(
        &mut self,
        expr: &IdedExpr,
        wanted: Kind,
        place: &str,
    ) -> Result<Node, ExpressionFault> {
        let (node, kind) = self.node(expr)?;
        if kind.fits(wanted) {
            return Ok(node);
        }
        let problem = ExpressionProblem::Kind {
            place: place.to_owned(),
            wanted: wanted.words(),
            found: kind.words(),
        };
        Err(self.fault(expr, problem))
    }

    /// The fact that a path of names and texts in brackets stands for.
    pub(super) fn fact_of(&mut self, expr: &IdedExpr) -> Result<Fact, ExpressionFault> {
        let path = self.path(expr);
        let path = path.ok_or_else(|| self.fault(expr, self.no_fact(expr)))?;
        let fact =
            Fact::parse(&path).map_err(|error| self.fault(expr, ExpressionProblem::Fact(error)))?;
        self.facts.push(fact.clone());
        Ok(fact)
    }

    fn fact(&mut self, expr: &IdedExpr) -> Result<Typed, ExpressionFault> {
        let fact = self.fact_of(expr)?;
        let kind = Kind::of(&fact);
        Ok((Node::Fact(fact), kind))
    }

    fn path(&self, expr: &IdedExpr) -> Option<String> {
        #[expect(
            clippy::wildcard_enum_match_arm,
            reason = "the other forms of the language are no paths"
        )]
        match &expr.expr {
            Expr::Ident(name) => (!self.locals.contains(name)).then(|| name.clone()),
            Expr::Select(select) if !select.test => {
                Some(format!("{}.{}", self.path(&select.operand)?, select.field))
            }
            Expr::Call(call) if call.func_name == operators::INDEX => {
                let [family, name] = call.args.as_slice() else {
                    return None;
                };
                let family = self.path(family).filter(|family| is_family(family))?;
                Some(format!("{family}.{}", text_literal(name)?))
            }
            _ => None,
        }
    }

    /// What is wrong with what is no fact; brackets may stand behind a name that does not exist.
    fn no_fact(&self, expr: &IdedExpr) -> ExpressionProblem {
        let family = if let Expr::Call(call) = &expr.expr {
            let family = call.args.first();
            family.filter(|_| call.func_name == operators::INDEX)
        } else {
            None
        };
        let family = family.and_then(|family| self.path(family));
        match family.map(|family| Fact::parse(&family)) {
            Some(Err(error)) => ExpressionProblem::Fact(error),
            Some(Ok(_)) | None => ExpressionProblem::Unsupported("this"),
        }
    }

    fn list(&mut self, elements: &[IdedExpr]) -> Result<Typed, ExpressionFault> {
        let texts: Result<Vec<Node>, ExpressionFault> = elements
            .iter()
            .map(|element| self.of_kind(element, Kind::Text, "[…]"))
            .collect();
        Ok((Node::List(texts?.into()), Kind::Texts))
    }

    fn literal(&self, expr: &IdedExpr, literal: &LiteralValue) -> Result<Typed, ExpressionFault> {
        let (value, kind) = match literal {
            LiteralValue::Boolean(flag) => (Value::Flag(*flag.inner()), Kind::Flag),
            LiteralValue::Int(number) => (Value::Number(*number.inner()), Kind::Number),
            LiteralValue::String(text) => (Value::Text(text.inner().to_owned().into()), Kind::Text),
            LiteralValue::Bytes(_) => return self.unsupported(expr, "a text of bytes"),
            LiteralValue::Double(_) => return self.unsupported(expr, "a number with a point"),
            LiteralValue::Null => return self.unsupported(expr, "`null`"),
            LiteralValue::UInt(_) => return self.unsupported(expr, "an unsigned number"),
        };
        Ok((Node::Constant(value), kind))
    }

    fn call(&mut self, expr: &IdedExpr, call: &CallExpr) -> Result<Typed, ExpressionFault> {
        let name = call.func_name.as_str();
        match (name, call.args.as_slice()) {
            (operators::LOGICAL_AND, [_, _]) => self
                .joined(name, call)
                .map(|nodes| (Node::All(nodes.into()), Kind::Flag)),
            (operators::LOGICAL_OR, [_, _]) => self
                .joined(name, call)
                .map(|nodes| (Node::Any(nodes.into()), Kind::Flag)),
            (operators::LOGICAL_NOT, [inner]) => {
                let inner = self.of_kind(inner, Kind::Flag, "!")?;
                Ok((Node::Not(Box::new(inner)), Kind::Flag))
            }
            (operators::NEGATE, [inner]) => {
                let inner = self.of_kind(inner, Kind::Number, "-")?;
                let zero = Node::Constant(Value::Number(0));
                let pair = Box::new([zero, inner]);
                Ok((Node::Calculate(Arithmetic::Subtract, pair), Kind::Number))
            }
            (operators::CONDITIONAL, [condition, then, otherwise]) => {
                self.choice(condition, then, otherwise)
            }
            (operators::IN, [text, texts]) => {
                let text = self.of_kind(text, Kind::Text, "in")?;
                let texts = self.of_kind(texts, Kind::Texts, "in")?;
                Ok((Node::In(Box::new([text, texts])), Kind::Flag))
            }
            (operators::INDEX, [_, _]) => self.fact(expr),
            (_, [left, right]) if comparison(name).is_some() => {
                self.compare(expr, name, [left, right])
            }
            (_, [left, right]) if arithmetic(name).is_some() => {
                self.calculate(expr, name, [left, right])
            }
            _ => self.function(expr, call),
        }
    }

    /// `a && b && c` as one node.
    fn joined(&mut self, name: &str, call: &CallExpr) -> Result<Vec<Node>, ExpressionFault> {
        let place = if name == operators::LOGICAL_AND {
            "&&"
        } else {
            "||"
        };
        let mut nodes = Vec::new();
        for part in &call.args {
            if let Expr::Call(inner) = &part.expr
                && inner.func_name == name
                && inner.args.len() == 2
            {
                nodes.extend(self.joined(name, inner)?);
            } else {
                nodes.push(self.of_kind(part, Kind::Flag, place)?);
            }
        }
        Ok(nodes)
    }

    fn choice(
        &mut self,
        condition: &IdedExpr,
        then: &IdedExpr,
        otherwise: &IdedExpr,
    ) -> Result<Typed, ExpressionFault> {
        let condition = self.of_kind(condition, Kind::Flag, "?")?;
        let (then, kind) = self.node(then)?;
        let otherwise = self.of_kind(otherwise, kind, ":")?;
        Ok((Node::Choose(Box::new([condition, then, otherwise])), kind))
    }

    fn compare(
        &mut self,
        expr: &IdedExpr,
        name: &str,
        [left, right]: [&IdedExpr; 2],
    ) -> Result<Typed, ExpressionFault> {
        let (place, comparison) = comparison(name).unwrap_or(("==", Comparison::Equal));
        let ((left, one), (right, other)) = (self.node(left)?, self.node(right)?);
        let is_alike = one.fits(other) || other.fits(one);
        let is_ordered = |kind| {
            matches!(
                kind,
                Kind::Attribute | Kind::Moment | Kind::Number | Kind::Span | Kind::Text
            )
        };
        let is_equality = matches!(comparison, Comparison::Equal | Comparison::NotEqual);
        if is_alike && (is_equality || (is_ordered(one) && is_ordered(other))) {
            return Ok((
                Node::Compare(comparison, Box::new([left, right])),
                Kind::Flag,
            ));
        }
        let problem = ExpressionProblem::Operands {
            place,
            left: one.words(),
            right: other.words(),
        };
        Err(self.fault(expr, problem))
    }

    fn calculate(
        &mut self,
        expr: &IdedExpr,
        name: &str,
        [left, right]: [&IdedExpr; 2],
    ) -> Result<Typed, ExpressionFault> {
        let (place, how) = arithmetic(name).unwrap_or(("+", Arithmetic::Add));
        let ((left, one), (right, other)) = (self.node(left)?, self.node(right)?);
        let kind = match (how, one, other) {
            (_, Kind::Number, Kind::Number) => Some(Kind::Number),
            (Arithmetic::Add | Arithmetic::Subtract, Kind::Moment, Kind::Span) => {
                Some(Kind::Moment)
            }
            (Arithmetic::Subtract, Kind::Moment, Kind::Moment)
            | (Arithmetic::Add | Arithmetic::Subtract, Kind::Span, Kind::Span) => Some(Kind::Span),
            (Arithmetic::Add, Kind::Text | Kind::Attribute, Kind::Text | Kind::Attribute) => {
                Some(Kind::Text)
            }
            _ => None,
        };
        match kind {
            Some(kind) => Ok((Node::Calculate(how, Box::new([left, right])), kind)),
            None => {
                let problem = ExpressionProblem::Operands {
                    place,
                    left: one.words(),
                    right: other.words(),
                };
                Err(self.fault(expr, problem))
            }
        }
    }

    pub(super) fn unsupported<T>(
        &self,
        expr: &IdedExpr,
        what: &'static str,
    ) -> Result<T, ExpressionFault> {
        Err(self.fault(expr, ExpressionProblem::Unsupported(what)))
    }

    /// A fault at the place of a node.
    pub(super) fn fault(&self, expr: &IdedExpr, problem: ExpressionProblem) -> ExpressionFault {
        let start = self
            .places
            .offset_for(expr.id)
            .map_or(0, |(start, _)| start);
        let start = usize::try_from(start).unwrap_or_default();
        let mut place = ExpressionFault {
            line: 1,
            column: 1,
            problem,
        };
        let before = self.text.char_indices().take_while(|(at, _)| *at < start);
        for (_, c) in before {
            if c == '\n' {
                place.line += 1;
                place.column = 1;
            } else {
                place.column += 1;
            }
        }
        place
    }
}

/// The text of a literal.
pub(super) fn text_literal(expr: &IdedExpr) -> Option<&str> {
    if let Expr::Literal(LiteralValue::String(text)) = &expr.expr {
        Some(text.inner())
    } else {
        None
    }
}

fn comparison(name: &str) -> Option<(&'static str, Comparison)> {
    match name {
        operators::EQUALS => Some(("==", Comparison::Equal)),
        operators::GREATER => Some((">", Comparison::Greater)),
        operators::GREATER_EQUALS => Some((">=", Comparison::GreaterOrEqual)),
        operators::LESS => Some(("<", Comparison::Less)),
        operators::LESS_EQUALS => Some(("<=", Comparison::LessOrEqual)),
        operators::NOT_EQUALS => Some(("!=", Comparison::NotEqual)),
        _ => None,
    }
}

fn arithmetic(name: &str) -> Option<(&'static str, Arithmetic)> {
    match name {
        operators::ADD => Some(("+", Arithmetic::Add)),
        operators::DIVIDE => Some(("/", Arithmetic::Divide)),
        operators::MODULO => Some(("%", Arithmetic::Remainder)),
        operators::MULTIPLY => Some(("*", Arithmetic::Multiply)),
        operators::SUBSTRACT => Some(("-", Arithmetic::Subtract)),
        _ => None,
    }
}
