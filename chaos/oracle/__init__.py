class Violation: ...
class Oracle:
    def __init__(self, day): self.violations=[]; self.day=day
    def violated(self, i, t): self.violations.append((i,t)); self.day.history.add("violated", f"{i} {t}")
    def order_arrives(self, b): self.day.counts["orders"]+=1
    def cancel_arrives(self, i): pass
    def halt_committed(self): pass
    def halt_lifted(self): pass
    def answered(self, *a): pass
    def opened(self, *a): pass
    def committed(self, w): pass
    def ended(self, p): pass
    def judge(self): pass
